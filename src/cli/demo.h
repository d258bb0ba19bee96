/*
 * demo.h: a small origin server, to try the proxy with.
 */
#ifndef BASCULE_CLI_DEMO_H
#define BASCULE_CLI_DEMO_H

/* `bascule demo ADDRESS`: argv[1] is where to listen. Serves until SIGTERM or SIGINT; returns the exit status. */
int demo_main(int argc, char **argv);

#endif
