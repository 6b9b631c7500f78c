/* SPDX-License-Identifier: MIT */
/* Lists of choices, and their text. */
#include <stdlib.h>

#include "runtime/sim/world.h"

enum { BASE = 36, ROOM_FIRST = 256 };

bool sim_choices_add(struct sim_choices *choices, struct sim_choice choice)
{
    if (choices->count == choices->room) {
        size_t room = choices->room == 0 ? ROOM_FIRST : choices->room * 2;
        struct sim_choice *list = realloc(choices->list, room * sizeof *list);

        if (list == NULL)
            return false;
        choices->list = list;
        choices->room = room;
    }
    choices->list[choices->count++] = choice;
    return true;
}

void sim_choices_free(struct sim_choices *choices)
{
    free(choices->list);
    *choices = (struct sim_choices){0};
}

static int by_thread(const void *a, const void *b)
{
    const struct sim_choice *one = a, *other = b;

    if (one->thread != other->thread)
        return one->thread < other->thread ? -1 : 1;
    return one->at < other->at ? -1 : one->at > other->at;
}

void sim_choices_sort(struct sim_choices *choices)
{
    if (choices->count > 1)
        qsort(choices->list, choices->count, sizeof *choices->list, by_thread);
}

/* ---- as text */

static bool print_number(char **text, const char *end, uint64_t number, char after)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    char reversed[16];
    int count = 0;

    do {
        reversed[count++] = digits[number % BASE];
        number /= BASE;
    } while (number > 0);
    if (end - *text < count + 2)
        return false;
    while (count > 0)
        *(*text)++ = reversed[--count];
    *(*text)++ = after;
    **text = '\0';
    return true;
}

bool sim_choices_print(const struct sim_choices *choices, char *text, size_t size)
{
    char *at = text;
    const char *end = text + size;
    uint64_t steps = 0;

    *text = '\0';
    if (choices->count == 0)
        return print_number(&at, end, 0, ':'); /* the plain schedule */
    for (size_t i = 0; i < choices->count; i++) {
        const struct sim_choice *choice = &choices->list[i];
        bool fits = true;

        if (i == 0 || choice->thread != choices->list[i - 1].thread) {
            fits = print_number(&at, end, choice->thread, ':');
            steps = 0;
        }
        fits = fits && print_number(&at, end, choice->at - steps, '.') &&
               print_number(&at, end, choice->way, ' ');
        if (!fits) {
            *text = '\0';
            return false;
        }
        steps = choice->at;
    }
    at[-1] = '\0';
    return true;
}

/* Adds what the text says; false: no such text, or no memory. */
static bool parse(struct sim_choices *choices, const char *text)
{
    struct sim_choice choice = {0};
    uint64_t number, way;
    char *end;

    while (*text != '\0') {
        number = strtoull(text, &end, BASE);
        if (end == text || (*end != ':' && *end != '.'))
            return false;
        text = end + 1;
        if (*end == ':') {
            choice = (struct sim_choice){.thread = (uint32_t)number};
            continue;
        }
        way = strtoull(text, &end, BASE);
        if (end == text || (*end != ' ' && *end != '\0') || choice.thread >= SIM_THREADS_MAX)
            return false;
        text = *end == ' ' ? end + 1 : end;
        choice.at += number;
        choice.way = (uint32_t)way;
        if (!sim_choices_add(choices, choice))
            return false;
    }
    return true;
}

bool sim_choices_parse(struct sim_choices *choices, const char *text)
{
    *choices = (struct sim_choices){0};
    /* Nothing is what a result says of a list that was too long: no schedule. */
    if (*text == '\0' || !parse(choices, text)) {
        sim_choices_free(choices);
        return false;
    }
    sim_choices_sort(choices);
    return true;
}
