/* SPDX-License-Identifier: MIT */
/* Two kinds of check.  lw_check() guards against misuse and corruption: it stays in every build,
 * so it must be cheap.  lw_debug_check() guards our own reasoning: it is compiled only with
 * -Dchecks=full and may walk a whole structure.  Neither may have an effect. */
#ifndef LW_RUNTIME_CHECK_H
#define LW_RUNTIME_CHECK_H

/* Writes "latchwork: <text>: <file>:<line>" to the standard error and aborts. */
__attribute__((noreturn, cold)) void lw_panic(const char *text, const char *file, int line);

#define LW_CHECK(truth, text)                                                                      \
    (__builtin_expect(!!(truth), 1) ? (void)0 : lw_panic(text, __FILE__, __LINE__))
#define lw_check(truth) LW_CHECK(truth, #truth)

#ifdef LW_CHECKS_FULL
#define lw_debug_check(truth) LW_CHECK(truth, #truth)
#else
/* Not sizeof: clang warns of a static function that only an unevaluated operand names. */
#define lw_debug_check(truth) ((void)(0 && (truth)))
#endif

#endif
