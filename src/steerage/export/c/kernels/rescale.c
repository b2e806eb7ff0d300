/* How integers with steps of their own become one with other steps. */
struct NAME_rescale {
    int32_t bias; /* with a half of a step, so that what is shifted out rounds to the nearest */
    int16_t factor, other;
    uint8_t shift;
    int8_t x_zero, y_zero; /* what stands for zero */
};

static inline int8_t NAME_rescaled(const struct NAME_rescale *r, int32_t x, int32_t y)
{
    return NAME_narrow((x * r->factor + y * r->other + r->bias) >> r->shift);
}
