/* SPDX-License-Identifier: MIT */
/* The part of Criterion that our suites use, for machines that have no Criterion: the cross build,
 * whose programs run under an emulator.  Criterion starts each test by executing its own file
 * again, which an emulated process cannot do; here each test is a fork.  The suites are compiled
 * unchanged.
 *
 * What differs: one test at a time; no parameterized tests and theories; a time limit is stretched
 * by the factor in LATCHWORK_TEST_SLOWNESS. */
#ifndef CRITERION_CRITERION_H
#define CRITERION_CRITERION_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cr_options_ {
    int line;
    void (*init)(void);
    void (*fini)(void);
    int signal;       /* the test has to die of it */
    int exit_code;    /* or to exit with it */
    bool disabled;
    const char *description;
    double timeout;   /* seconds */
};

struct cr_test_ {
    const char *suite, *name, *file;
    void (*body)(void); /* NULL: the options of a suite */
    struct cr_options_ options;
    struct cr_test_ *next;
};

void cr_register_(struct cr_test_ *test);

/* Something was claimed: say so when it is wrong.  When it is also required, end the test. */
__attribute__((format(printf, 6, 7)))
void cr_claim_(bool required, bool truth, const char *claim, const char *file, int line,
               const char *format, ...);

__attribute__((format(printf, 1, 2)))
void cr_log_(const char *format, ...);

__attribute__((noreturn, format(printf, 1, 2)))
void cr_skip_(const char *format, ...);

/* Ends without a semicolon, which TestSuite's user writes. */
#define CR_REGISTER_(id, suite_, name_, body_, ...)                                     \
    static struct cr_test_ id;                                                          \
    __attribute__((constructor)) static void id##register_(void)                        \
    {                                                                                   \
        cr_register_(&id);                                                              \
    }                                                                                   \
    static struct cr_test_ id = { .suite = #suite_, .name = name_, .file = __FILE__,    \
                                  .body = body_,                                        \
                                  .options = { .line = __LINE__, __VA_ARGS__ } }

#define TestSuite(suite, ...) CR_REGISTER_(suite##_suite_, suite, NULL, NULL, __VA_ARGS__)
#define Test(suite, name, ...)                                                          \
    static void suite##_##name##_body_(void);                                           \
    CR_REGISTER_(suite##_##name##_test_, suite, #name, suite##_##name##_body_, __VA_ARGS__); \
    static void suite##_##name##_body_(void)

#define CR_CLAIM_(required, truth, claim, ...) \
    cr_claim_(required, (truth), claim, __FILE__, __LINE__, "" __VA_ARGS__)

#define cr_assert(truth, ...) CR_CLAIM_(true, !!(truth), #truth, __VA_ARGS__)
#define cr_assert_not(truth, ...) CR_CLAIM_(true, !(truth), "not " #truth, __VA_ARGS__)
#define cr_assert_eq(a, b, ...) CR_CLAIM_(true, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) CR_CLAIM_(true, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) CR_CLAIM_(true, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) CR_CLAIM_(true, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) CR_CLAIM_(true, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) CR_CLAIM_(true, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_assert_null(a, ...) CR_CLAIM_(true, (a) == NULL, #a " == NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...) CR_CLAIM_(true, (a) != NULL, #a " != NULL", __VA_ARGS__)
#define cr_assert_fail(...) CR_CLAIM_(true, false, "never reached", __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...) \
    CR_CLAIM_(true, fabs((double)((a) - (b))) <= (e), #a " == " #b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) \
    CR_CLAIM_(true, strcmp((a), (b)) == 0, #a " equals " #b, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) \
    CR_CLAIM_(true, strcmp((a), (b)) != 0, #a " differs from " #b, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, bytes, ...) \
    CR_CLAIM_(true, memcmp((a), (b), (bytes)) == 0, #a " equals " #b, __VA_ARGS__)
#define cr_assert_arr_neq(a, b, bytes, ...) \
    CR_CLAIM_(true, memcmp((a), (b), (bytes)) != 0, #a " differs from " #b, __VA_ARGS__)

#define cr_expect(truth, ...) CR_CLAIM_(false, !!(truth), #truth, __VA_ARGS__)
#define cr_expect_not(truth, ...) CR_CLAIM_(false, !(truth), "not " #truth, __VA_ARGS__)
#define cr_expect_eq(a, b, ...) CR_CLAIM_(false, (a) == (b), #a " == " #b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) CR_CLAIM_(false, (a) != (b), #a " != " #b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) CR_CLAIM_(false, (a) < (b), #a " < " #b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) CR_CLAIM_(false, (a) <= (b), #a " <= " #b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) CR_CLAIM_(false, (a) > (b), #a " > " #b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) CR_CLAIM_(false, (a) >= (b), #a " >= " #b, __VA_ARGS__)
#define cr_expect_null(a, ...) CR_CLAIM_(false, (a) == NULL, #a " == NULL", __VA_ARGS__)
#define cr_expect_not_null(a, ...) CR_CLAIM_(false, (a) != NULL, #a " != NULL", __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) \
    CR_CLAIM_(false, strcmp((a), (b)) == 0, #a " equals " #b, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, bytes, ...) \
    CR_CLAIM_(false, memcmp((a), (b), (bytes)) == 0, #a " equals " #b, __VA_ARGS__)

#define cr_fail(...) CR_CLAIM_(false, false, "never reached", __VA_ARGS__)
#define cr_fatal(...) CR_CLAIM_(true, false, "never reached", __VA_ARGS__)
#define cr_skip_test(...) cr_skip_("" __VA_ARGS__)
#define cr_skip(...) cr_skip_("" __VA_ARGS__)
#define cr_log_info(...) cr_log_(__VA_ARGS__)
#define cr_log_warn(...) cr_log_(__VA_ARGS__)
#define cr_log_error(...) cr_log_(__VA_ARGS__)

#endif
