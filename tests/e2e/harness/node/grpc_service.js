// A service of each kind of call, whose messages are bytes: nothing is generated, and no byte of them is looked at.
'use strict';

const as_is = bytes => bytes;

const method = (name, requestStream, responseStream) => ({
  path: '/test.Peer/' + name,
  requestStream,
  responseStream,
  requestSerialize: as_is,
  requestDeserialize: as_is,
  responseSerialize: as_is,
  responseDeserialize: as_is,
});

exports.service = {
  Unary: method('Unary', false, false),
  Collect: method('Collect', true, false), // the client streams
  Scatter: method('Scatter', false, true), // the server streams
  Chat: method('Chat', true, true),
};

exports.NO_LIMIT = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
