/* Category codes: `codes` numbers for each column, `on` at its code and else `off`; `fill` is the code of missing. */
static KERNEL void NAME_categoriesBITS(const float *x, int8_t *y, int n, const INDEX *at, const uint8_t *codes,
    const int8_t *fill, int off, int on)
{
    for (int i = 0; i < n; ++i) {
        const uint32_t bits = NAME_bits(x[at ? at[i] : i]);
        const int32_t there = NAME_none(bits) ? fill[i] : NAME_fixed(bits, 0);
        for (int32_t code = 0; code < codes[i]; ++code)
            *y++ = (int8_t)(code == there ? on : off);
    }
}
