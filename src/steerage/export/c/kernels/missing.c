/* 1 where the column at the place `at` is missing, else 0. */
static KERNEL void NAME_missingBITS(const float *x, float *y, int n, const INDEX *at)
{
    for (int i = 0; i < n; ++i) {
        const float v = x[at ? at[i] : i];
        y[i] = v - v == 0.0f ? 0.0f : 1.0f;
    }
}
