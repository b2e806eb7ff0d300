/* y = x scale + shift, a map [y][channel][x] or numbers, each a channel of one pixel. */
static KERNEL void NAME_affine(const NUMBER *x, NUMBER *y, int rows, int channels, int columns, const FACTOR *scale,
    const SUM *shift) //! int8
    const SUM *shift, int bits) //? int8
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
            for (int i = 0; i < columns; ++i)
                *y++ = *x++ * scale[c] + shift[c]; //! int8
                *y++ = NAME_narrow((*x++ * scale[c] + shift[c]) >> bits); //? int8
}
