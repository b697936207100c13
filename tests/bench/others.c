#include "others.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "moment.h"

/* Of one "cpuN user nice system idle iowait irq softirq steal" line, in clock ticks. */
static double ticks_busy(const char *line, const cpu_set_t *cores)
{
    unsigned core;
    double user, nice, system, idle, waiting, irq, softirq;
    if (sscanf(line, "cpu%u %lf %lf %lf %lf %lf %lf %lf", &core, &user, &nice, &system, &idle,
               &waiting, &irq, &softirq) != 8 ||
        !CPU_ISSET(core, cores))
        return 0;
    return user + nice + system + irq + softirq;
}

static double busy_seconds(void)
{
    char line[512];
    double ticks = 0;
    cpu_set_t cores;
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL || sched_getaffinity(0, sizeof(cores), &cores) != 0)
        CPU_ZERO(&cores);
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        ticks += ticks_busy(line, &cores);
    if (file != NULL)
        fclose(file);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

static double children_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double process_seconds(pid_t pid)
{
    char path[64], text[1024];
    double user = 0, system = 0;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = pid != 0 ? fopen(path, "r") : NULL;
    if (file == NULL)
        return 0;
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *rest = strrchr(text, ')'); /* a name may hold anything */
    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lf %lf", &user, &system) != 2)
        return 0;
    return (user + system) / (double)sysconf(_SC_CLK_TCK);
}

void others_begin(struct others *others, pid_t server)
{
    others->server = server;
    others->wall_seconds = (double)moment_ns() / 1e9;
    others->busy_seconds = busy_seconds();
    others->own_seconds = children_seconds() + process_seconds(server);
}

double others_share(const struct others *others)
{
    struct others now;
    cpu_set_t cores;
    others_begin(&now, others->server);
    double wall = now.wall_seconds - others->wall_seconds;
    double busy = now.busy_seconds - others->busy_seconds;
    double own = now.own_seconds - others->own_seconds;
    int count = sched_getaffinity(0, sizeof(cores), &cores) == 0 ? CPU_COUNT(&cores) : 1;
    return busy > own && wall > 0 ? (busy - own) / (wall * count) : 0;
}
