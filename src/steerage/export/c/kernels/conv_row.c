/* The next row of all channels, `step` numbers from one to the next, each with its activation and pooling. */
static KERNEL void NAME_conv_row(struct NAME_rows *c, NUMBER *out, int step)
{
    const struct NAME_conv *const l = c->shape;
    for (int part = 0; part < l->pool_y; ++part, ++c->row) {
        const NUMBER *from = (const NUMBER *)c->x + c->row * l->stride_y * l->channels * l->padded; //? direct
        const NUMBER *from = c->window; //! direct
        const WEIGHT *w = c->weights;
        const void *i = c->index; //? indexed
        int left = l->group_outputs;
        if (l->load) { //? load_or_direct
            NAME_load(c); //? load
            from = c->window; //? load_or_direct
        } //? load_or_direct
        for (int o = 0; o < l->outputs; ++o) {
            NUMBER *const result = out + o * step;
            NUMBER *const to = USES_LINE ? c->line : result; //? lined
            NUMBER *const to = result; //! lined
            const float b = c->bias ? c->bias[o] : 0.0f; //! int8
            const int32_t b = c->bias[o]; //? int8
            const int code = c->codes[o]; //? int8
            if (left-- == 0) { /* the next group reads the channels that follow */
                from += l->group_inputs * l->padded;
                left = l->group_outputs - 1;
            }
            switch (l->row) {
CASES
            default:
                break;
            }
            if (ACTS_FIRST) //? act_first
                NAME_activate(to, to, l->columns, l->activation); //? act_first
            if (l->pooling) { //? pooled|averaged
                if (l->pooling == 3) //? average_or_max
                    NAME_average_row(c, to, result, part, o); //? averaged
                else //? average_or_max
                    NAME_pool_row(l, to, result, part); //? pooled
            } //? pooled|averaged
            if (c->plus) //? plus
                NAME_plus_row(c, result, o); //? plus
        }
    }
    const int once = step == l->pooled ? l->outputs : 1; /* channels beside each other are activated at once */ //? act
    int activation = l->activation; //? act_last
    int activation = l->pooling > 1 ? 0 : l->activation; //? act_unless
    if (c->plus) //? act_plus
        activation = c->plus->activation; //? act_plus
    for (int o = 0; o < l->outputs; o += once) //? act
        NAME_activate(out + o * step, out + o * step, once * l->pooled, activation); //? act
}
