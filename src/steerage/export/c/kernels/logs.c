/* As numbers, of sign(v) log(1 + |v| / unit). */
static KERNEL void NAME_logsBITS(const float *x, float *y, int n, const INDEX *at, const float *fill, const float *unit,
    const float *mean, const float *scale)
{
    for (int i = 0; i < n; ++i) {
        float v = x[at ? at[i] : i];
        if (!(v - v == 0.0f)) /* NAN and infinities */
            v = fill[i];
        v = v < 0.0f ? -log1pf(-v / unit[i]) : log1pf(v / unit[i]);
        v = (v - mean[i]) * scale[i];
        y[i] = v < -8.0f ? -8.0f : v > 8.0f ? 8.0f : v;
    }
}
