// Mapped files whose pages are gone: SIGBUS becomes zeros and a note, never the end of the process.
//
// The way of wl_shm_buffer_begin_access in Wayland's library and of systemd's journal: a handler
// that looks up the address, puts memory there, and leaves everything that is not ours to the
// handler before it.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "include/CFiles.h"

enum { most_ranges = 512, most_handlers = 8, page_size = 4096 };

static struct range {
    _Atomic uintptr_t start; // 0: free
    _Atomic uintptr_t end;
    atomic_int damaged;
} ranges[most_ranges];

static atomic_uint damages;

static pthread_mutex_t installing = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction handlers[most_handlers];
static _Atomic(struct sigaction *) previous;
static int handler_count;
static atomic_int passing; // the thread that is in the handler before ours

static int repair(uintptr_t address) {
    for (int i = 0; i < most_ranges; i++) {
        struct range *range = &ranges[i];
        uintptr_t start = atomic_load(&range->start), end = atomic_load(&range->end);
        if (start == 0 || address < start || address >= end)
            continue;
        uintptr_t page = address / page_size * page_size;
        // What is missing here is missing up to the end.
        void *zeros = mmap((void *)page, end - page, PROT_READ,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        if (zeros == MAP_FAILED)
            return 0;
        atomic_store(&range->damaged, 1);
        atomic_fetch_add(&damages, 1);
        return 1;
    }
    return 0;
}

static void as_by_default(int number, siginfo_t *info) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(number, &action, NULL);
    // A fault comes again as soon as this returns; a signal that was sent does not.
    if (info->si_code <= 0)
        raise(number);
}

static void pass_on(int number, siginfo_t *info, void *context) {
    struct sigaction *before = atomic_load(&previous);
    int thread = gettid();
    // A handler that gave the signal back to us.
    if (!before || atomic_load(&passing) == thread) {
        as_by_default(number, info);
    } else if (before->sa_flags & SA_SIGINFO) {
        atomic_store(&passing, thread);
        before->sa_sigaction(number, info, context);
        atomic_store(&passing, 0);
    } else if (before->sa_handler == SIG_DFL ||
               (before->sa_handler == SIG_IGN && info->si_code > 0)) {
        as_by_default(number, info);
    } else if (before->sa_handler != SIG_IGN) {
        atomic_store(&passing, thread);
        before->sa_handler(number);
        atomic_store(&passing, 0);
    }
}

static void met(int number, siginfo_t *info, void *context) {
    int error = errno;
    if (info->si_code <= 0 || !repair((uintptr_t)info->si_addr))
        pass_on(number, info, context);
    errno = error;
}

/* Puts our handler in front, also where the host has put one there since. */
static int install(void) {
    struct sigaction now, ours = {.sa_sigaction = met, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGBUS, NULL, &now) != 0)
        return -1;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == met)
        return 0;
    if (handler_count == most_handlers)
        return -1;
    handlers[handler_count] = now;
    atomic_store(&previous, &handlers[handler_count++]);
    return sigaction(SIGBUS, &ours, NULL);
}

int uspi_guard(const void *base, size_t count) {
    int slot = -1;
    pthread_mutex_lock(&installing);
    if (install() == 0) {
        for (int i = 0; i < most_ranges && slot < 0; i++)
            if (atomic_load(&ranges[i].start) == 0)
                slot = i;
    }
    if (slot >= 0) {
        atomic_store(&ranges[slot].damaged, 0);
        atomic_store(&ranges[slot].end, (uintptr_t)base + count);
        atomic_store(&ranges[slot].start, (uintptr_t)base);
    }
    pthread_mutex_unlock(&installing);
    return slot;
}

int uspi_guard_damaged(int slot) { return atomic_load(&ranges[slot].damaged); }

void uspi_unguard(int slot) { atomic_store(&ranges[slot].start, 0); }

unsigned uspi_guard_damages(void) { return atomic_load(&damages); }
