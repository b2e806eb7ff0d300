/* Category codes: `codes` numbers for each column, 1 at its code and else 0; `fill` is the code of missing. */
static KERNEL void NAME_hotBITS(const float *x, float *y, int n, const INDEX *at, const uint8_t *codes, const int8_t *fill)
{
    for (int i = 0; i < n; ++i) {
        float v = x[at ? at[i] : i];
        if (!(v - v == 0.0f)) /* NAN and infinities */
            v = (float)fill[i];
        for (int code = 0; code < codes[i]; ++code)
            *y++ = v == (float)code ? 1.0f : 0.0f;
    }
}
