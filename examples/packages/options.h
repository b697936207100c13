/* The command line. */
#ifndef PACKAGES_OPTIONS_H
#define PACKAGES_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct options {
    const char *cache;    /* URI; NULL: not given */
    const char *config;   /* path; NULL: none */
    const char *packages; /* path of an index; NULL: this machine's */
    const char *database; /* path; NULL: in the user's cache folder */
    unsigned port;
    bool everywhere;
    unsigned threads; /* of the server */
    bool demo;
    unsigned seconds; /* of the demo, for each cache */
    unsigned sample;  /* write a made-up index of so many packages; 0: no */
};

/** @return -1 to go on; else the exit status, after help or a complaint */
int options_parse(struct options *options, int count, char **arguments);

#endif
