// One lane of a requantizer that compares, behind sa_total: a total becomes an output integer,
//
//     value = lowest + how many of the channel's thresholds the total has reached
//
// all of them compared with it at once. A total has reached a threshold that it is not below; where the channel is
// `falling`, one that it is below. A threshold that is `beyond` is above every total, whatever its word says. So a
// layer with fewer thresholds leaves some beyond or, falling, makes them the least total.
//
// Stages 2 to 4, as those of the other lanes; a total may enter every clock, with thresholds of its own.
module sa_requantize_thresholds #(
    parameter int TOTAL_BITS = 32,  // 8 to 64
    parameter int VALUE_BITS = 4,  // 1 to 16
    parameter int THRESHOLDS = 15  // from 1 on
) (
    input  wire                                    clk,
    // Into stage 2.
    input  wire signed [           TOTAL_BITS-1:0] total,
    input  wire        [THRESHOLDS*TOTAL_BITS-1:0] thresholds,
    input  wire        [           THRESHOLDS-1:0] beyond,
    input  wire                                    falling,
    // Into stage 4, two clocks later: one delay line serves all lanes.
    input  wire signed [             VALUE_BITS:0] lowest,
    // Out of stage 4.
    output logic       [           VALUE_BITS-1:0] value
);
    localparam int COUNT_BITS = $clog2(THRESHOLDS + 1);

    // ---------------------------------------------------------------------------------------------- 2. compare

    logic [THRESHOLDS-1:0] reached;
    genvar i;
    generate
        for (i = 0; i < THRESHOLDS; i = i + 1) begin : g_threshold
            wire signed [TOTAL_BITS-1:0] threshold = thresholds[i*TOTAL_BITS+:TOTAL_BITS];
            wire below = beyond[i] || total < threshold;
            always_ff @(posedge clk) reached[i] <= below == falling;
        end
    endgenerate

    // ------------------------------------------------------------------------------------------------ 3. count

    logic [COUNT_BITS-1:0] count;
    always_ff @(posedge clk) count <= COUNT_BITS'($countones(reached));

    // ---------------------------------------------------------------------------------------------- 4. value

    // Of the output type, so that the low bits are the value.
    wire unused_sign = lowest[VALUE_BITS];
    always_ff @(posedge clk) value <= lowest[VALUE_BITS-1:0] + VALUE_BITS'(count);
endmodule
