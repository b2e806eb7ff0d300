/* `on` where the column at the place `at` has the category `code`, or is missing where that is -128, else `off`. */
static KERNEL void NAME_flagsBITS(const float *x, int8_t *y, int n, const INDEX *at, const int8_t *code, const int8_t *fill,
    const int8_t *off, const int8_t *on)
{
    for (int i = 0; i < n; ++i) {
        const uint32_t bits = NAME_bits(x[at[i]]);
        const int none = NAME_none(bits);
        const int32_t there = none ? fill[i] : NAME_fixed(bits, 0);
        y[i] = (code[i] == -128 ? none : there == code[i]) ? on[i] : off[i];
    }
}
