# The confab server. Configure it with variables, or mount a file and set CONFAB_CONFIG to its path.
# A tag may name another image tomorrow. For builds that repeat, add the digest to both lines FROM, as in
# node:24-trixie-slim@sha256:…; "docker buildx imagetools inspect node:24-trixie-slim" prints it. dist/sbom.cdx.json of
# the image lists the packages of confab, not those of the base image.
FROM node:24-trixie-slim AS build
WORKDIR /confab
COPY package.json package-lock.json ./
# Install scripts only serve checkouts (the test runner, the project's own Node).
RUN npm ci --ignore-scripts
COPY . .
RUN npm run -s build && npm run -s sbom && npm prune --omit=dev --ignore-scripts

FROM node:24-trixie-slim
WORKDIR /confab
ENV NODE_ENV=production CONFAB_HOST=0.0.0.0 CONFAB_DATA=/data
COPY --from=build /confab/node_modules ./node_modules
COPY --from=build /confab/dist ./dist
COPY --from=build /confab/bin ./bin
COPY --from=build /confab/streams ./streams
COPY --from=build /confab/nats ./nats
COPY --from=build /confab/package.json ./
RUN mkdir --mode=700 /data && chown node /data
USER node
EXPOSE 8080
VOLUME /data
ENTRYPOINT ["node", "bin/confab.js"]
CMD ["serve"]
