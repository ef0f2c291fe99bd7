# One volume, two containers: the daemon and the program that writes invoices share /var/lib/payrecond. See docs/docker.md.
# Nothing here depends on the processor: linux/amd64 and linux/arm64.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --profile dist --locked --bin payrecond

FROM debian:bookworm-slim
# The numbers are a promise: a program's container joins group 1818. The file is made here, empty and writable for the
# group, because SQLite would make it readable alone for the group; a new volume takes it over as it is.
RUN groupadd --gid 1818 payrecond \
    && useradd --uid 1818 --gid 1818 --no-create-home --home-dir /var/lib/payrecond payrecond \
    && install -d -m 2770 -o payrecond -g payrecond /var/lib/payrecond \
    && install -m 660 -o payrecond -g payrecond /dev/null /var/lib/payrecond/payrecond.db
COPY --from=build /src/target/dist/payrecond /usr/bin/payrecond
USER payrecond
# Without database.path or database.url the database is payrecond.db in here.
WORKDIR /var/lib/payrecond
VOLUME /var/lib/payrecond
# What the daemon makes beside the database stays writable for the group.
ENTRYPOINT ["/bin/sh", "-c", "umask 0007; exec payrecond \"$@\"", "payrecond"]
CMD ["run"]
