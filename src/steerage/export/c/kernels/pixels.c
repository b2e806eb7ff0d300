/* An image [channel][y][x] as a map [y][channel][x] of pixels in standard deviations. */
static KERNEL void NAME_pixels(const IMAGE *x, NUMBER *y, int channels, int rows, int columns, const BASE *mean,
    const FACTOR *scale) //! shifted
    const FACTOR *scale, int shift) //? shifted
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = QUANTIZED((CAST x[(c * rows + r) * columns + i] - mean[c]) * scale[c]); //! shifted
                *y++ = NAME_narrow((x[(c * rows + r) * columns + i] * scale[c] + mean[c]) >> shift); //? shifted
}
