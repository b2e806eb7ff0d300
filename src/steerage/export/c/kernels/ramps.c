/* Columns at the places `at` (or all of them) in steps: -128 and 127 are the ends; `filled` where they are missing. */
static KERNEL void NAME_rampsBITS(const float *x, int8_t *y, int n, const INDEX *at, const int32_t *start,
    const uint16_t *factor, const int8_t *power, const int8_t *filled)
{
    for (int i = 0; i < n; ++i) {
        const uint32_t bits = NAME_bits(x[at ? at[i] : i]);
        y[i] = NAME_none(bits) ? filled[i] : NAME_ramp(bits, start[i], factor[i], power[i]);
    }
}
