/* y = f(x) for the activation of that number; 0 is none. */
static KERNEL void NAME_activate(const float *x, float *y, int n, int activation)
{
    switch (activation) {
CASES
    default:
        break;
    }
}
