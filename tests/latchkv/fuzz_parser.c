/* SPDX-License-Identifier: MIT */
/* libFuzzer: whatever the bytes are, the parser stays within them, and a stream cut in two at a
 * place that the data choose means what it means whole. */
#include "tests/latchkv/transcript.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { BULK_MAX = 1000 };
    struct feeding whole, cut;

    if (size < 2)
        return 0;
    const char *stream = (const char *)data + 2;
    size -= 2;
    size_t at = (data[0] | (size_t)data[1] << 8) % (size + 1);

    feeding_init(&whole, BULK_MAX);
    feed(&whole, stream, size);
    feeding_init(&cut, BULK_MAX);
    feed(&cut, stream, at);
    feed(&cut, stream + at, size - at);
    if (whole.seen.size != cut.seen.size ||
        memcmp(whole.seen.text, cut.seen.text, whole.seen.size) != 0 || whole.broken != cut.broken)
        abort();
    feeding_fini(&whole);
    feeding_fini(&cut);
    return 0;
}
