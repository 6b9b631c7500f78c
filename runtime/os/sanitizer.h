/* SPDX-License-Identifier: MIT */
/* Which sanitizer the library is built with: LW_TSAN, LW_ASAN, or none of the two.  gcc says so by
 * a macro of its own, clang by a feature. */
#ifndef LW_RUNTIME_OS_SANITIZER_H
#define LW_RUNTIME_OS_SANITIZER_H

#if defined(__SANITIZE_THREAD__)
#define LW_TSAN 1
#elif defined(__SANITIZE_ADDRESS__)
#define LW_ASAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define LW_TSAN 1
#elif __has_feature(address_sanitizer)
#define LW_ASAN 1
#endif
#endif

#endif
