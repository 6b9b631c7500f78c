/* SPDX-License-Identifier: MIT */
/* Plays the corpus, each kernel in a process of its own, and says what the detector said.
 *
 *     corpus [--table] [<part of a name>]
 *
 * As TAP; or as a table, with recall and false alarms below it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/corpus/stage.h"

struct outcome *corpus_outcome;

static const struct kernel *const files[] = {
    corpus_mutexes,  corpus_rwlocks, corpus_joins, corpus_owners,  corpus_conditions,
    corpus_channels, corpus_mixed,   corpus_clean, corpus_orderly,
};

static const char *const kinds[] = {"resource", "communication", "mixed"};

static const char *const expected[] = {
    [DEADLOCK] = "DEADLOCK",
    [REORDERED] = "DEADLOCK",
    [AT_ONCE] = "-EDEADLK at once",
    [OWNER] = "ABANDONED, -ENOTRECOVERABLE",
    [CANNOT] = "no deadlock: it cannot",
    [NOT_SEEN] = "LONG_WAIT only",
    [CLEAN] = "nothing",
};

/* Of one kind: of those that deadlock, who are told of, who are told by an error, who are not seen,
 * and who should have been; those that cannot here; clean programs; and those of which, though they
 * are none of the first, a deadlock was told. */
static struct {
    int told_of, told_by_error, not_seen, missed, cannot, clean, alarms;
} totals[3];

/* ---- one kernel */

static bool play(const struct kernel *kernel)
{
    int status = 0;
    pid_t child;

    memset(corpus_outcome, 0, sizeof *corpus_outcome);
    (void)fflush(NULL);
    child = fork();
    if (child == 0) {
        corpus_perform_all(kernel);
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        abort();
    if (WIFSIGNALED(status))
        (void)fprintf(stderr, "%s: died of signal %d\n", kernel->name, WTERMSIG(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void count(const struct kernel *kernel, bool passed)
{
    enum says says = kernel->says;
    bool alarm = says != DEADLOCK && says != REORDERED &&
                 corpus_outcome->told[LW_VERDICT_DEADLOCK] != 0;

    totals[kernel->kind].told_of += passed && (says == DEADLOCK || says == REORDERED);
    totals[kernel->kind].told_by_error += passed && (says == AT_ONCE || says == OWNER);
    totals[kernel->kind].missed += !passed && says <= OWNER;
    totals[kernel->kind].not_seen += says == NOT_SEEN;
    totals[kernel->kind].cannot += says == CANNOT;
    totals[kernel->kind].clean += says == CLEAN;
    totals[kernel->kind].alarms += alarm;
}

/* ---- what is printed */

static void print_verdicts(void)
{
    const char *between = "";

    for (int i = 0; i < VERDICTS; i++)
        if (corpus_outcome->told[i] != 0) {
            (void)printf("%s%s %llu", between, lw_verdict_name(i),
                         (unsigned long long)corpus_outcome->told[i]);
            between = ", ";
        }
    (void)printf("%s", *between != '\0' ? "" : "nothing");
}

static void print_expected(const struct kernel *kernel)
{
    (void)printf("%s", expected[kernel->says]);
    if (kernel->says == DEADLOCK)
        (void)printf(" of %d, %s gives way", __builtin_popcount(kernel->members),
                     kernel->victims == kernel->members ? "any" : "a certain one");
    else if (kernel->says == REORDERED)
        (void)printf(" of %d, a reader goes first", __builtin_popcount(kernel->members));
    else if (kernel->timed)
        (void)printf(", but of those that a deadline ends");
}

static void print_row(const struct kernel *kernel, bool passed)
{
    (void)printf("| %s | %s | %s | ", kernel->name, kernel->what, kinds[kernel->kind]);
    print_expected(kernel);
    (void)printf(" | ");
    print_verdicts();
    (void)printf(" | %llu | %s |\n", (unsigned long long)corpus_outcome->runs,
                 passed ? "yes" : "**no**");
}

static void print_totals(void)
{
    static const char *const rows[] = {"locks, permits", "channels, conditions", "both"};

    (void)printf("\n| bugs of | told, and broken | told by an error | missed | LONG_WAIT only | "
                 "cannot happen here | clean programs | false alarms |\n"
                 "|---|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int i = 0; i < 3; i++)
        (void)printf("| %s | %d | %d | %d | %d | %d | %d | %d |\n", rows[i], totals[i].told_of,
                     totals[i].told_by_error, totals[i].missed, totals[i].not_seen,
                     totals[i].cannot, totals[i].clean, totals[i].alarms);
}

/* Returns how many were not as expected. */
static int play_all(const char *filter, bool table)
{
    int failed = 0, number = 0;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        for (const struct kernel *kernel = files[i]; kernel->name != NULL; kernel++) {
            bool passed;

            if (filter != NULL && strstr(kernel->name, filter) == NULL)
                continue;
            passed = play(kernel);
            failed += !passed;
            count(kernel, passed);
            if (table) {
                print_row(kernel, passed);
                continue;
            }
            (void)printf("%s %d - %s: ", passed ? "ok" : "not ok", ++number, kernel->name);
            print_verdicts();
            (void)printf(" in %llu %s\n", (unsigned long long)corpus_outcome->runs, corpus_runs);
        }
    if (!table)
        (void)printf("1..%d\n", number);
    return failed;
}

int main(int argc, char **argv)
{
    bool table = argc > 1 && strcmp(argv[1], "--table") == 0;
    const char *filter = argc > 1 + table ? argv[1 + table] : NULL;
    int failed;

    corpus_outcome = mmap(NULL, sizeof *corpus_outcome, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (corpus_outcome == MAP_FAILED)
        return 1;
    if (table)
        (void)printf("| after | what | kind | expected | told | %s | as expected |\n"
                     "|---|---|---|---|---|---:|---|\n", corpus_runs);
    failed = play_all(filter, table);
    if (table)
        print_totals();
    return failed != 0;
}
