/* An image [channel][y][x] as a map [y][channel][x] of pixels in standard deviations. */
static KERNEL void NAME_pixels(const IMAGE *x, float *y, int channels, int rows, int columns, const float *mean,
    const float *scale)
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = (CAST x[(c * rows + r) * columns + i] - mean[c]) * scale[c];
}
