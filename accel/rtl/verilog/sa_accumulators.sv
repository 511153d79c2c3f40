// The accumulator buffer behind the array: a row of LANES sums at each address. Sums that arrive are written, or added
// to what is there, BITS wide; a second port reads. Reads take no clock (a register file, or a flow-through memory).
module sa_accumulators #(
    parameter int LANES = 4,
    parameter int SUM_BITS = 32,     // of the sums that arrive
    parameter int BITS = 32,         // of the sums that are kept
    parameter bit SATURATE = 1'b0,
    parameter int ADDRESS_BITS = 10,
    parameter int COUNT_BITS = 16
) (
    input  wire                      clk,
    input  wire                      valid,
    input  wire  [ ADDRESS_BITS-1:0] address,
    input  wire                      accumulate,
    input  wire  [LANES*SUM_BITS-1:0] sums,
    output logic [   COUNT_BITS-1:0] overflows,       // additions in the clock before that did not fit
    input  wire  [ ADDRESS_BITS-1:0] read_address,
    output wire  [   LANES*BITS-1:0] read_sums
);
    wire [LANES-1:0] lost;
    genvar i;
    generate
        for (i = 0; i < LANES; i = i + 1) begin : g_lane
            logic signed [BITS-1:0] memory[0:2**ADDRESS_BITS-1];
            wire signed [SUM_BITS-1:0] arriving = sums[i*SUM_BITS+:SUM_BITS];
            wire signed [BITS-1:0] kept = accumulate ? memory[address] : '0;
            wire signed [BITS-1:0] total;
            sa_add #(
                .BITS    (BITS),
                .SATURATE(SATURATE)
            ) adder (
                .a       (kept),
                .b       (BITS'(arriving)),
                .sum     (total),
                .overflow(lost[i])
            );
            always_ff @(posedge clk) if (valid) memory[address] <= total;
            assign read_sums[i*BITS+:BITS] = memory[read_address];
        end
    endgenerate
    always_ff @(posedge clk) overflows <= valid ? COUNT_BITS'($countones(lost)) : '0;
endmodule
