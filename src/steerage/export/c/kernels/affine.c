/* y = x scale + shift, a map [y][channel][x] or numbers, each a channel of one pixel. */
static KERNEL void NAME_affine(const float *x, float *y, int rows, int channels, int columns, const float *scale,
    const float *shift)
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = *x++ * scale[c] + shift[c];
}
