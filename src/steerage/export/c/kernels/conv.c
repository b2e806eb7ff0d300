/* All rows of a convolution. */
static KERNEL void NAME_conv(struct NAME_rows *c, NUMBER *y)
{
    const struct NAME_conv *const l = c->shape;
    while (c->row < l->rows) {
        NAME_conv_row(c, y, l->pooled);
        y += l->outputs * l->pooled;
    }
}
