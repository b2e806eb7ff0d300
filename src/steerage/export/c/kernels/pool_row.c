/* One row of a convolution becomes part of a row of its pooling; `part` counts those that have. */
static KERNEL void NAME_pool_row(const struct NAME_conv *l, const NUMBER *line, NUMBER *out, int part)
{
    const int columns = l->columns, wide = l->pool_x;
#ifdef NAME_WIDE //? wide
    if (wide == 2 && l->pooling != 3) { /* pairs need no loop of their own */ //? wide
        for (int at = 0; 2 * at < columns; ++at) { //? wide
            const float v = line[2 * at] > line[2 * at + 1] ? line[2 * at] : line[2 * at + 1]; //? wide
            out[at] = part && out[at] > v ? out[at] : v; //? wide
        } //? wide
        return; //? wide
    } //? wide
#endif //? wide
    const float share = 1.0f / (float)(l->pool_y * l->pool_x); //? average
    const int average = l->pooling == 3; //? both
    for (int at = 0; at < columns; at += wide, ++out) {
        float a = part ? *out : average ? 0.0f : line[at]; //? both
        float a = part ? *out : 0.0f; //? only_average
        NUMBER a = part ? *out : line[at]; //? only_max
        for (int k = 0; k < wide; ++k) {
            const NUMBER v = line[at + k];
            a = average ? a + v : v > a ? v : a; //? both
            a += v; //? only_average
            a = v > a ? v : a; //? only_max
        }
        *out = average && part == l->pool_y - 1 ? a * share : a; //? both
        *out = part == l->pool_y - 1 ? a * share : a; //? only_average
        *out = a; //? only_max
    }
}
