/*
 * Certificates for tests, made anew by each process that asks for them, in a directory that goes
 * with it: nothing that expires is kept anywhere. A root signs an intermediate, which signs the
 * servers' certificates and a client's.
 */
#ifndef TESTS_CERTIFICATES_H
#define TESTS_CERTIFICATES_H

/* Files; but for the first two a key is in each. */
#define CERTIFICATES_ROOT "root.pem"
#define CERTIFICATES_OTHER_ROOT "other-root.pem" /* has signed nothing */
#define CERTIFICATES_GOOD "good.pem" /* for localhost and 127.0.0.1, with the intermediate */
#define CERTIFICATES_NO_CHAIN "no-chain.pem"     /* the same without the intermediate */
#define CERTIFICATES_WRONG_HOST "wrong-host.pem" /* for elsewhere.example */
#define CERTIFICATES_EXPIRED "expired.pem"
#define CERTIFICATES_EARLY "early.pem" /* valid from tomorrow on */
#define CERTIFICATES_SELF_SIGNED "self-signed.pem"
#define CERTIFICATES_CLIENT "client.pem"

/** The path of one of them. Static storage, of one of the last eight calls. Ends the program with a
 * message when they can't be made. */
const char *certificates_path(const char *file);

#endif
