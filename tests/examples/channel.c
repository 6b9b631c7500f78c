/* SPDX-License-Identifier: MIT */
/* A pipeline: one task reads words, one counts their letters, one adds up; two channels connect
 * them.  Closing a channel tells the next one that no more will come. */
#include <errno.h>
#include <latchwork.h>
#include <stdio.h>
#include <string.h>

static const char *words[4]; /* up to four words wait to be counted */
static lw_channel to_count = LW_CHANNEL_INIT("words", words);
static lw_channel to_add = LW_RENDEZVOUS_INIT("lengths", size_t);

static int read_words(void *arg)
{
    static const char *const text[] = { "so", "long", "and", "thanks", "for", "all", "fish" };
    int err = 0;

    (void)arg;
    for (size_t i = 0; i < sizeof text / sizeof *text && err == 0; i++)
        err = lw_channel_send(&to_count, &text[i], LW_FOREVER);
    lw_channel_close(&to_count);
    return err;
}

static int count_letters(void *arg)
{
    const char *word;
    size_t length;
    int err;

    (void)arg;
    while ((err = lw_channel_receive(&to_count, &word, LW_FOREVER)) == 0) {
        length = strlen(word);
        err = lw_channel_send(&to_add, &length, LW_FOREVER);
        if (err < 0)
            break;
    }
    lw_channel_close(&to_add);
    return err == -EPIPE ? 0 : err; /* the end of what comes is no failure */
}

static int add_up(void *arg)
{
    lw_group stages = LW_GROUP_INIT(LW_GROUP_FAIL_FAST);
    size_t length, total = 0, count = 0;
    int err;

    LW_SCOPE(&stages.scope, LW_FOREVER, err) {
        err = lw_group_spawn(&stages, read_words, arg, NULL);
        if (err == 0)
            err = lw_group_spawn(&stages, count_letters, arg, NULL);
        for (; err == 0 && (err = lw_channel_receive(&to_add, &length, LW_FOREVER)) == 0; count++)
            total += length;
        if (err == -EPIPE)
            err = 0;
    }
    printf("%zu words of %zu letters\n", count, total);
    return err;
}

int main(void) { return lw_run(NULL, add_up, NULL) < 0; }

/* It prints
 *
 *     7 words of 25 letters
 */
