/* A row of one channel: what the convolution made, and what is added to it, with the activation of the sum. */
static KERNEL void NAME_plus_row(const struct NAME_rows *c, NUMBER *result, int channel)
{
    const struct NAME_plus *const p = c->plus;
    const int columns = c->shape->columns;
    const NUMBER *from = c->added + (c->row * p->stride * p->channels + channel) * p->width;
    for (int i = 0; i < columns; ++i)
        result[i] = channel < p->channels ? c->line[i] + from[i * p->stride] : c->line[i]; //! int8
        result[i] = NAME_rescaled(c->rescale, c->line[i], //? int8
            channel < p->channels ? from[i * p->stride] : c->rescale->y_zero); //? int8
    NAME_activate(result, result, columns, p->activation); //? act
}
