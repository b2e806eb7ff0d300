/* z = x + y, maps [y][channel][x]: y has fewer channels, or only each `stride`-th of its pixels is taken. */
static KERNEL void NAME_add_padded(const NUMBER *x, const NUMBER *y, NUMBER *z, int rows, int channels, int columns,
    int y_channels, int y_width, int stride) //! int8
    int y_channels, int y_width, int stride, const struct NAME_rescale *rescale) //? int8
{
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c) {
            const NUMBER *from = y + (r * stride * y_channels + c) * y_width;
            for (int i = 0; i < columns; ++i, ++x, ++z)
                *z = c < y_channels ? *x + from[i * stride] : *x; //! int8
                *z = NAME_rescaled(rescale, *x, c < y_channels ? from[i * stride] : rescale->y_zero); //? int8
        }
}
