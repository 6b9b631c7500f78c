/* SPDX-License-Identifier: MIT */
/* The signature of a report is that of its places: not of who was there, when, in which order, or
 * how many; and it is the same in the next run. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "locksmith/report.h"
#include "tests/support.h"

TestSuite(signature, .init = watchdog);

enum { MEMBERS_MAX = 600 };

/* Addresses in this program, each another. */
static char code[4096];

struct ring {
    lw_report report;
    lw_report_member members[MEMBERS_MAX];
    lw_report_hold holds[MEMBERS_MAX][2];
};

/* Each member waits at places[i % places] and took, 100 further, what the one before it wants. */
static void make_ring(struct ring *ring, size_t count, size_t places)
{
    *ring = (struct ring){.report = {.verdict = LW_VERDICT_DEADLOCK, .members = ring->members,
                                     .member_count = count}};
    for (size_t i = 0; i < count; i++) {
        ring->holds[i][0] = (lw_report_hold){.lock = (const lw_lock *)(uintptr_t)(0x1000 + i),
                                             .site = &code[100 + i % places]};
        ring->members[i] = (lw_report_member){.task = {i + 1}, .kind_name = "mutex",
                                              .object = (void *)(0x1000 + (i + 1) % count),
                                              .wait_site = &code[i % places],
                                              .deadline = LW_FOREVER, .holds = ring->holds[i],
                                              .hold_count = 1};
    }
}

Test(signature, is_not_of_who_when_and_where_it_begins)
{
    static struct ring ring, turned;
    uint64_t signature;

    make_ring(&ring, 5, 5);
    signature = lw_report_signature(&ring.report);
    turned = ring;
    turned.report.members = turned.members;
    for (size_t i = 0; i < 5; i++) {
        turned.members[i] = ring.members[(i + 2) % 5];
        turned.members[i].task.id += 77;
        turned.members[i].since = 5;
        turned.members[i].deadline = 9;
        turned.members[i].task_name = "other";
        turned.members[i].spawn_site = &code[i];
    }
    turned.report.count = 12;
    turned.report.at = 99;
    turned.report.victim = 3;
    cr_assert_eq(lw_report_signature(&turned.report), signature);
    turned.report.verdict = LW_VERDICT_LONG_WAIT;
    cr_assert_neq(lw_report_signature(&turned.report), signature);
}

Test(signature, is_that_of_the_places_however_many_are_there)
{
    static struct ring few, many;

    make_ring(&few, 3, 3);
    make_ring(&many, MEMBERS_MAX, 3);
    cr_assert_eq(lw_report_signature(&few.report), lw_report_signature(&many.report));
    make_ring(&many, MEMBERS_MAX, 60); /* more than are kept */
    make_ring(&few, 60, 60);
    cr_assert_eq(lw_report_signature(&few.report), lw_report_signature(&many.report));
    make_ring(&few, 15, 15);
    make_ring(&many, 16, 16); /* as many as are */
    cr_assert_neq(lw_report_signature(&few.report), lw_report_signature(&many.report));
}

Test(signature, differs_with_each_place)
{
    static struct ring ring;
    uint64_t signature;

    make_ring(&ring, 4, 4);
    signature = lw_report_signature(&ring.report);
    for (size_t i = 0; i < 4; i++) {
        ring.members[i].wait_site = &code[1000];
        cr_assert_neq(lw_report_signature(&ring.report), signature);
        ring.members[i].wait_site = &code[i];
        ring.holds[i][0].site = &code[1000];
        cr_assert_neq(lw_report_signature(&ring.report), signature);
        ring.holds[i][0].site = &code[100 + i];
    }
    cr_assert_eq(lw_report_signature(&ring.report), signature);
}

Test(signature, leaves_out_what_nobody_waits_for)
{
    static struct ring ring;
    uint64_t signature;

    make_ring(&ring, 3, 3);
    signature = lw_report_signature(&ring.report);
    ring.holds[1][1] = (lw_report_hold){.lock = (const lw_lock *)(uintptr_t)0x7777,
                                        .site = &code[2000]};
    ring.members[1].hold_count = 2;
    cr_assert_eq(lw_report_signature(&ring.report), signature);
    ring.members[2].object = (void *)0x7777; /* now somebody does */
    cr_assert_neq(lw_report_signature(&ring.report), signature);
}

Test(signature, takes_all_holds_of_one_alone_and_unknown_places)
{
    static struct ring ring;
    uint64_t signature, none;

    make_ring(&ring, 1, 1);
    signature = lw_report_signature(&ring.report);
    ring.members[0].hold_count = 2;
    ring.holds[0][1].site = &code[2000];
    cr_assert_neq(lw_report_signature(&ring.report), signature);
    ring.holds[0][1].site = NULL;
    cr_assert_eq(lw_report_signature(&ring.report), signature);
    ring.report.member_count = 0;
    none = lw_report_signature(&ring.report);
    cr_assert_neq(none, signature);
    cr_assert_neq(none, 0);
}

/* The program is loaded at another address there. */
Test(signature, is_the_same_in_the_next_run)
{
    static struct ring ring;
    char self[4096], said[64] = "", wanted[64];
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 64);
    FILE *other;

    cr_assert_gt(size, 0);
    make_ring(&ring, 3, 3);
    (void)snprintf(wanted, sizeof wanted, "%016llx\n",
                   (unsigned long long)lw_report_signature(&ring.report));
    (void)snprintf(&self[size], sizeof self - (size_t)size, " --signature");
    other = popen(self, "r");
    cr_assert_not_null(other);
    cr_assert_not_null(fgets(said, sizeof said, other));
    (void)pclose(other);
    cr_assert_str_eq(said, wanted);
}

/* Run so by the test above. */
__attribute__((constructor)) static void say_signature(int count, char **args)
{
    static struct ring ring;

    if (count != 2 || strcmp(args[1], "--signature") != 0)
        return;
    make_ring(&ring, 3, 3);
    (void)printf("%016llx\n", (unsigned long long)lw_report_signature(&ring.report));
    (void)fflush(stdout);
    (void)kill(getpid(), SIGKILL);
}
