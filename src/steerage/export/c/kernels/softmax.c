/* Scores become probabilities. */
static KERNEL void NAME_softmax(const float *x, float *y, int n)
{
    float most = x[0], sum = 0.0f;
    for (int i = 1; i < n; ++i)
        most = x[i] > most ? x[i] : most;
    for (int i = 0; i < n; ++i) {
        y[i] = expf(x[i] - most);
        sum += y[i];
    }
    for (int i = 0; i < n; ++i)
        y[i] /= sum;
}
