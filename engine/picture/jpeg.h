#include <stddef.h>
#include <stdint.h>

enum { GH_OK = 0, GH_CORRUPT = 1, GH_TRUNCATED = 2, GH_STOPPED = 3, GH_UNSUPPORTED = 4, GH_TOO_LARGE = 5 };

// gh_jpeg_size reads the declared size without taking memory for pixels.
int gh_jpeg_size(const uint8_t *data, size_t n, int *width, int *height, char message[200]);

// gh_jpeg_decode writes RGB rows, reduced by 1, 2, 4 or 8, into out, which
// holds exactly width·height·3 bytes of the reduced size. *stop != 0 ends it.
int gh_jpeg_decode(const uint8_t *data, size_t n, int reduce, uint8_t *out, int width, int height,
                   const volatile int32_t *stop, char message[200]);
