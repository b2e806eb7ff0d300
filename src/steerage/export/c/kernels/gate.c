/* y = x, a map [y][channel][x], each channel times its number. */
static KERNEL void NAME_gate(const float *x, const float *gate, float *y, int rows, int channels, int columns)
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = *x++ * gate[c];
}
