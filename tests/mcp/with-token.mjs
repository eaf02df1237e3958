// Forwards requests to a server with the token of PARKBRAKE_TOKEN, for a client that cannot send
// one. Prints its address.
import http from 'node:http';

const server = new URL(process.argv[2]);
const authorization = `Bearer ${process.env.PARKBRAKE_TOKEN}`;

const proxy = http.createServer((request, response) => {
  const onward = http.request(
    { host: server.hostname, port: server.port, method: request.method, path: request.url, headers: { ...request.headers, authorization } },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    },
  );
  onward.on('error', () => response.writeHead(502).end());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
proxy.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${proxy.address().port}`));
