/* `on` where the column at the place `at` is missing, else `off`. */
static KERNEL void NAME_absentBITS(const float *x, int8_t *y, int n, const INDEX *at, int off, int on)
{
    for (int i = 0; i < n; ++i)
        y[i] = (int8_t)(NAME_none(NAME_bits(x[at ? at[i] : i])) ? on : off);
}
