/* One row of a convolution is added to sums of pixels, which become a row of averages; `part` counts those that were. */
static KERNEL void NAME_average_row(const struct NAME_rows *c, const int8_t *line, int8_t *out, int part, int channel)
{
    const struct NAME_conv *const l = c->shape;
    const int columns = l->columns, wide = l->pool_x, zero = c->rescale->x_zero;
    int32_t *sum = c->sums + channel * l->pooled;
    for (int at = 0; at < columns; at += wide, ++out, ++sum) {
        int32_t a = part ? *sum : 0;
        for (int k = 0; k < wide; ++k)
            a += line[at + k] - zero;
        *sum = a;
        if (part == l->pool_y - 1)
            *out = NAME_rescaled(c->rescale, a, 0);
    }
}
