/* Pooling of a map [y][channel][x]. */
struct NAME_pool {
    uint16_t channels, height, width, rows, columns;
    uint16_t kernel_y, kernel_x, stride_y, stride_x, pad_y, pad_x;
    uint16_t kind; /* 0: the largest; 1: the average; 2: that of the pixels inside the map */
};

static KERNEL void NAME_pool(const struct NAME_pool *l, const float *x, float *y) //! int8
static KERNEL void NAME_pool(const struct NAME_pool *l, const int8_t *x, int8_t *y, const struct NAME_rescale *rescale) //? int8
{
    const int zero = rescale ? rescale->x_zero : -128; //? int8
    for (int r = 0; r < l->rows; ++r)
        for (int c = 0; c < l->channels; ++c)
            for (int i = 0; i < l->columns; ++i) {
                SUM a = 0;
                int count = 0;
                for (int ky = 0; ky < l->kernel_y; ++ky) {
                    const int from = r * l->stride_y + ky - l->pad_y;
                    if (from < 0 || from >= l->height)
                        continue;
                    for (int kx = 0; kx < l->kernel_x; ++kx) {
                        const int at = i * l->stride_x + kx - l->pad_x;
                        if (at < 0 || at >= l->width)
                            continue;
                        const float v = x[(from * l->channels + c) * l->width + at]; //! int8
                        const int32_t v = x[(from * l->channels + c) * l->width + at] - zero; //? int8
                        a = l->kind ? a + v : count == 0 || v > a ? v : a;
                        ++count;
                    }
                }
                *y++ = l->kind ? a / (float)(l->kind == 2 ? count : l->kernel_y * l->kernel_x) : a; //! int8
                if (l->kind == 2) /* the nearest to the average */ //? int8
                    a = (2 * a + count) / (2 * count); //? int8
                *y++ = l->kind == 1 ? NAME_rescaled(rescale, a, 0) : (int8_t)(a + zero); //? int8
            }
}
