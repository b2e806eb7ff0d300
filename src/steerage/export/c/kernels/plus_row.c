/* A row of one channel: what the convolution made, and what is added to it, with the activation of the sum. */
static KERNEL void NAME_plus_row(const struct NAME_rows *c, float *result, int channel)
{
    const struct NAME_plus *const p = c->plus;
    const int columns = c->shape->columns;
    const float *from = c->added + (c->row * p->stride * p->channels + channel) * p->width;
    for (int i = 0; i < columns; ++i)
        result[i] = channel < p->channels ? c->line[i] + from[i * p->stride] : c->line[i];
    NAME_activate(result, result, columns, p->activation); //? act
}
