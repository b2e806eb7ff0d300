/* Columns at the places `at` (or all of them): missing ones filled, in standard deviations, at most 8 from the mean. */
static KERNEL void NAME_numbersBITS(const float *x, float *y, int n, const INDEX *at, const float *fill, const float *mean,
    const float *scale)
{
    for (int i = 0; i < n; ++i) {
        float v = x[at ? at[i] : i];
        if (!(v - v == 0.0f)) /* NAN and infinities */
            v = fill[i];
        v = (v - mean[i]) * scale[i];
        y[i] = v < -8.0f ? -8.0f : v > 8.0f ? 8.0f : v;
    }
}
