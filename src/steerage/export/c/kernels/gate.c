/* y = x, a map [y][channel][x], each channel times its number. */
static KERNEL void NAME_gate(const float *x, const float *gate, float *y, int rows, int channels, int columns) //! int8
static KERNEL void NAME_gate(const int8_t *x, const int8_t *gate, int8_t *y, int rows, int channels, int columns, //? int8
    const struct NAME_rescale *rescale) //? int8
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = *x++ * gate[c]; //! int8
                *y++ = NAME_rescaled(rescale, (*x++ - rescale->x_zero) * (gate[c] - rescale->y_zero), 0); //? int8
}
