// SPDX-License-Identifier: MIT

// The Go peer: goroutines, channels, sync and net.  The command line and the form of the output
// are those of common/bench.h; GOMAXPROCS is the number of workers.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type figure struct {
	name  string // "" for the workload's only figure
	value float64
	unit  string
}

var workloads = map[string]func(n int) []figure{
	"spawn_batch": spawnBatch, "spawn_all": spawnAll, "fib": fib, "skynet": skynet,
	"yield2": yield2, "yield1000": yield1000, "pingpong": pingpong, "chan": channel,
	"select2": select2, "select4": select4, "select2_timeout": select2Timeout,
	"mutex1": mutex1, "mutex64": mutex64, "semaphore1": semaphore1, "semaphore64": semaphore64,
	"rwlock_read1": rwlockRead1, "rwlock_write1": rwlockWrite1, "rwlock_write64": rwlockWrite64,
	"rwlock95": rwlock95, "rwlock99": rwlock99, "condition": condition, "once1": once1,
	"sleepers": sleepers, "parked": parked, "wake": wake, "echo": echo,
}

// only makes the figures of a workload that has just one.
func only(value float64, unit string) []figure {
	return []figure{{"", value, unit}}
}

// fail says why a result is wrong, and exits with 1.
func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "wrong: "+format+"\n", args...)
	os.Exit(1)
}

// per is the time that has passed since began, in ns per operation.
func per(began time.Time, operations int) float64 {
	return float64(time.Since(began).Nanoseconds()) / float64(operations)
}

// cpu is the CPU time that this process has used.
func cpu() time.Duration {
	var usage syscall.Rusage

	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail("getrusage: %v", err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// procNumber is the number after a key in /proc/self/status, in KiB there.
func procNumber(key string) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, key) {
			number, _ := strconv.Atoi(strings.Fields(line)[1])
			return number
		}
	}
	return 0
}

var casWord uint64

// casPair is the time of an uncontended CAS and the CAS back in ns, the best of several short
// series.
func casPair() float64 {
	const series, pairs = 5, 200000
	best := 1e9

	for i := 0; i < series; i++ {
		began := time.Now()
		for j := 0; j < pairs; j++ {
			atomic.CompareAndSwapUint64(&casWord, 0, 1)
			atomic.CompareAndSwapUint64(&casWord, 1, 0)
		}
		if pair := per(began, pairs); pair < best {
			best = pair
		}
	}
	return best
}

// sleepFor is the delay of sleeper i: as bench_sleep_ns in common/bench.c.
func sleepFor(i int) time.Duration {
	z := (uint64(i) + 1) * 0x9e3779b97f4a7c15
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	z ^= z >> 31
	return time.Duration(500000000 + z%1000000001)
}

// quantile is the value below which the given share of values lies; it sorts them.
func quantile(values []float32, share float64) float64 {
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	return float64(values[int(float64(len(values))*share)])
}

func usage() {
	names := make([]string, 0, len(workloads))
	for name := range workloads {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintf(os.Stderr, "usage: %s WORKLOAD WORKERS N\nworkloads: %s\n", os.Args[0],
		strings.Join(names, " "))
	os.Exit(2)
}

func main() {
	if len(os.Args) != 4 {
		usage()
	}
	work, found := workloads[os.Args[1]]
	workers, _ := strconv.Atoi(os.Args[2])
	n, _ := strconv.Atoi(os.Args[3])
	if !found || workers < 1 || n < 1 {
		usage()
	}

	runtime.GOMAXPROCS(workers)
	before := casPair()
	figures := work(n)
	pair := (before + casPair()) / 2
	peak := procNumber("VmHWM:")
	for _, f := range figures {
		name := os.Args[1]
		if f.name != "" {
			name += "." + f.name
		}
		fmt.Printf("%s go %d %d %.6g %s %d %.2f\n", name, workers, n, f.value, f.unit, peak, pair)
	}
}
