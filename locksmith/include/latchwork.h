/* SPDX-License-Identifier: MIT */
/* All of Latchwork but <latchwork/errno.h>. */
#ifndef LATCHWORK_H
#define LATCHWORK_H

#include <latchwork/barrier.h>
#include <latchwork/base.h>
#include <latchwork/blocking.h>
#include <latchwork/breaker.h>
#include <latchwork/cancel.h>
#include <latchwork/channel.h>
#include <latchwork/condition.h>
#include <latchwork/defaults.h>
#include <latchwork/detector.h>
#include <latchwork/event.h>
#include <latchwork/force.h>
#include <latchwork/futex.h>
#include <latchwork/group.h>
#include <latchwork/guard.h>
#include <latchwork/io.h>
#include <latchwork/keyed_condition.h>
#include <latchwork/latch.h>
#include <latchwork/lock.h>
#include <latchwork/locksmith.h>
#include <latchwork/mutex.h>
#include <latchwork/once.h>
#include <latchwork/priority_lock.h>
#include <latchwork/rate_limit.h>
#include <latchwork/releasing.h>
#include <latchwork/rlock.h>
#include <latchwork/rwlock.h>
#include <latchwork/runtime.h>
#include <latchwork/scope.h>
#include <latchwork/select.h>
#include <latchwork/semaphore.h>
#include <latchwork/signal.h>
#include <latchwork/sim.h>
#include <latchwork/task.h>
#include <latchwork/throttle.h>
#include <latchwork/time.h>
#include <latchwork/waitable.h>

#endif
