/* Scores become probabilities. */
static KERNEL void NAME_softmax(const SCORE *x, float *y, int n) //! int8
static KERNEL void NAME_softmaxSUFFIX(const SCORE *x, float *y, int n, float scale) //? int8
{
    SCORE most = x[0];
    float sum = 0.0f;
    for (int i = 1; i < n; ++i)
        most = x[i] > most ? x[i] : most;
    for (int i = 0; i < n; ++i) {
        y[i] = expf(x[i] - most); //! int8
        y[i] = expf((float)(x[i] - most) * scale); //? int8
        sum += y[i];
    }
    for (int i = 0; i < n; ++i)
        y[i] /= sum;
}
