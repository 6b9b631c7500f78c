/* SPDX-License-Identifier: MIT */
/* The rare parts of the deque: making, growing, freeing.  See deque.h. */
#include "runtime/deque.h"

#include <errno.h>

#include "runtime/os/os.h"

#ifdef LW_TINY
enum { FIRST_SIZE = 4 };
#else
enum { FIRST_SIZE = 256 };
#endif

static struct lw_deque_array *array_new(int64_t size)
{
    struct lw_deque_array *array =
        lw_sys.calloc(1, sizeof *array + (size_t)size * sizeof(struct lw_record *));

    if (array != NULL)
        array->mask = size - 1;
    return array;
}

int lw_deque_init(struct lw_deque *deque)
{
    deque->array = array_new(FIRST_SIZE);
    return deque->array != NULL ? 0 : -ENOMEM;
}

void lw_deque_fini(struct lw_deque *deque)
{
    while (deque->array != NULL) {
        struct lw_deque_array *older = deque->array->older;

        lw_sys.free(deque->array);
        deque->array = older;
    }
}

bool lw_deque_grow(struct lw_deque *deque)
{
    struct lw_deque_array *old = deque->array, *new = array_new((old->mask + 1) * 2);
    int64_t bottom = lw_load_rlx(&deque->bottom);

    if (new == NULL)
        return false;
    for (int64_t i = deque->top_seen; i < bottom; i++)
        lw_store_rlx(&new->slots[i & new->mask], lw_load_rlx(&old->slots[i & old->mask]));
    /* a thief may be reading it: all arrays together are less than twice the last */
    new->older = old;
    lw_store_rel(&deque->array, new);
    return true;
}
