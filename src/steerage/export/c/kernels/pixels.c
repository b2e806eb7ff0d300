/* An image [channel][y][x] as a map [y][channel][x] of pixels in standard deviations. */
static KERNEL void NAME_pixels(const IMAGE *x, NUMBER *y, int channels, int rows, int columns, const BASE *mean, //! ramped
    const FACTOR *scale) //! shifted|ramped
    const FACTOR *scale, int shift) //? shifted
static KERNEL void NAME_pixels(const IMAGE *x, NUMBER *y, int channels, int rows, int columns, const int32_t *start, //? ramped
    const uint16_t *factor, const int8_t *power) //? ramped
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = (CAST x[(c * rows + r) * columns + i] - mean[c]) * scale[c]; //! shifted|ramped
                *y++ = NAME_narrow((x[(c * rows + r) * columns + i] * scale[c] + mean[c]) >> shift); //? shifted
                *y++ = NAME_ramp(NAME_bits(x[(c * rows + r) * columns + i]), start[c], factor[c], power[c]); //? ramped
}
