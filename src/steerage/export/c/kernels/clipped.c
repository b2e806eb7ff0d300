/* Columns at the places `at` (or all of them): missing ones filled, in [low, high]; the next layer scales them. */
static KERNEL void NAME_clippedBITS(const float *x, float *y, int n, const INDEX *at, const float *fill, const float *low,
    const float *high)
{
    for (int i = 0; i < n; ++i) {
        float v = x[at ? at[i] : i];
        if (!(v - v == 0.0f)) /* NAN and infinities */
            v = fill[i];
        y[i] = v < low[i] ? low[i] : v > high[i] ? high[i] : v;
    }
}
