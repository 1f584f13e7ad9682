// A website with Better Auth, as its own documentation sets it up, but for the database in memory.
// Prints its address. The sessions last SESSION_SECONDS.

import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { admin } from "better-auth/plugins";

const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const baseURL = `http://127.0.0.1:${server.address().port}`;
  const auth = betterAuth({
    baseURL,
    secret: randomBytes(32).toString("hex"),
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    emailAndPassword: { enabled: true },
    session: { expiresIn: Number(process.env.SESSION_SECONDS ?? 3600) },
    plugins: [admin()],
    telemetry: { enabled: false },
  });
  server.on("request", toNodeHandler(auth));
  console.log(baseURL);
});
