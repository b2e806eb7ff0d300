/* Move the window to the next row: input rows that stay move up, new ones come in, zeros around them. */
static KERNEL void NAME_load(const struct NAME_rows *c)
{
    const struct NAME_conv *const l = c->shape;
    const int row = l->channels * l->padded;
    const int kept = c->row > 0 && l->stride_y < l->kernel_y ? l->kernel_y - l->stride_y : 0;
    const int end = l->pad_x + l->width < l->padded ? l->pad_x + l->width : l->padded;
    const int begin = l->pad_x, moved = l->stride_y * row;
    NUMBER *const window = c->window;
#ifdef NAME_WIDE //? wide
    __builtin_memmove(window, window + moved, sizeof(float) * (unsigned)(kept * row)); //? wide
#else //? wide
    for (int i = 0; i < kept * row; ++i)
        window[i] = window[i + moved];
#endif //? wide
    for (int i = kept * row; i < l->kernel_y * row; ++i) //! int8
        window[i] = 0.0f; //! int8
    for (int k = kept; k < l->kernel_y; ++k) {
        const int from = c->row * l->stride_y + k - l->pad_y;
        NUMBER *to = window + k * row;
        for (int channel = 0; channel < l->channels; ++channel) { //? int8
            const int8_t zero = l->load == 2 ? c->mean[channel] : c->zero; //? both_int8
            const int8_t zero = c->mean[channel]; //? image_int8
            const int8_t zero = c->zero; //? map_int8
            for (int i = channel * l->padded, all = i + l->padded; i < all; ++i) //? int8
                to[i] = zero; //? int8
        } //? int8
        if (from < 0 || from >= l->height)
            continue;
        if (l->load == 3) { //? chain
            NAME_conv_row(c->before, to + l->pad_x, l->padded); //? chain
            continue; //? chain
        } //? chain
        for (int channel = 0; channel < l->channels; ++channel, to += l->padded) {
            if (l->load == 2) { //? image_or_map
                const IMAGE *p = (const IMAGE *)c->x + (channel * l->height + from) * l->width; //? image
                for (int i = begin; i < end; ++i) //? image
                    to[i] = PIXEL(p[i - begin]); //? image
            } else { //? image_or_map
                const NUMBER *p = (const NUMBER *)c->x + (from * l->channels + channel) * l->width; //? map
                for (int i = begin; i < end; ++i) //? map
                    to[i] = p[i - begin]; //? map
            } //? image_or_map
        }
    }
}
