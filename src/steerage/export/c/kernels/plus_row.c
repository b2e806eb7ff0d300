/* A row of one channel: what the convolution made, and what is added to it. */
static KERNEL void NAME_plus_row(const struct NAME_rows *c, NUMBER *result, int channel)
{
    const struct NAME_plus *const p = c->plus;
    const int columns = c->shape->columns;
    const NUMBER *const line = c->line;
    const NUMBER *from = c->added + (c->row * p->stride * p->channels + channel) * p->width;
    const int adds = channel < p->channels, stride = p->stride;
    for (int i = 0; i < columns; ++i)
        result[i] = adds ? line[i] + from[i * stride] : line[i]; //! int8
        result[i] = NAME_rescaled(c->rescale, line[i], adds ? from[i * stride] : c->rescale->y_zero); //? int8
}
